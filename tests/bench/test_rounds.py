"""Whose turn it is, and the peers there are."""

from __future__ import annotations

import pytest

from bench.options import parse
from bench.peers import load_peer, peer_names
from bench.rounds import is_time_for_more, rotated
from bench.workloads import NAMES, WORKLOADS


def test_every_peer_is_first_once_in_as_many_rounds_as_there_are_peers() -> None:
    assert [rotated("abc", number)[0] for number in range(3)] == ["a", "b", "c"]
    assert rotated("abc", 4) == ["b", "c", "a"]


def test_no_round_begins_that_would_end_too_late() -> None:
    assert is_time_for_more(began=0, now=1000, round_began=700, first=False, minutes=22)
    assert not is_time_for_more(began=0, now=1100, round_began=800, first=False, minutes=22)


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_says_how_it_is_installed_run_and_watched(name: str) -> None:
    peer = load_peer(name)
    assert peer.driver.is_file()
    assert peer.configuration
    assert peer.packages or peer.runtime == "ours"
    assert peer.done if peer.store == "postgres" else peer.left
    assert peer.shown


def test_what_is_asked_of_some_peers_only_is_asked_of_those_measured_every_time() -> None:
    asked = {workload.asked for workload in WORKLOADS if workload.asked}
    for name in ("howdah", "pgqueuer", "graphile_worker"):
        assert asked == set(load_peer(name).asked)


def test_howdah_can_be_measured_as_it_was_at_a_commit() -> None:
    peer = load_peer("howdah@HEAD")
    assert (peer.commit, peer.title, peer.driver) == ("HEAD", "howdah@HEAD", load_peer("howdah").driver)


def test_options_choose_figures_peers_and_rounds() -> None:
    options = parse(["--only", "W3,W4", "--peers", "howdah,pgqueuer", "--rounds", "2"], NAMES)
    assert options.sizes.wanted == {"W3", "W4"}
    assert (options.peers, options.rounds) == (("howdah", "pgqueuer"), 2)


def test_an_unknown_figure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--only", "W99"], NAMES)
    assert "there is no W99" in capsys.readouterr().err


def test_all_peers_can_be_asked_for_in_one_word() -> None:
    assert parse(["--peers", "all"], NAMES).peers == tuple(peer_names())
