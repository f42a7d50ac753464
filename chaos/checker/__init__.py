"""From a history to a verdict: pure functions, one for each invariant."""

from chaos.checker.verdict import Judgement, Struck, Verdict, judge

__all__ = ["Judgement", "Struck", "Verdict", "judge"]
