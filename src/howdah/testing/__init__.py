"""For the tests of your own app: the real engine, in the test's own process.

The fixtures `howdah_database`, `howdah_app` and `howdah_clock` are there when howdah is installed. A test
points the app at a database of its own, lets the code publish, and looks at what was published, or runs it:

    from howdah.testing import drain, published
    from shop.jobs import app, send_welcome
    from shop.users import sign_up

    @pytest.fixture(autouse=True)
    def jobs(howdah_app):
        howdah_app(app)

    async def test_a_new_user_gets_a_welcome():
        await sign_up("ann")
        [mail] = await published(app, send_welcome)
        assert mail.args == ("ann",)
        [ended] = await drain(app)
        assert ended.state == "succeeded"

* ``drain``        runs every due job, here and now
* ``run``          runs one job and returns its value, or raises what its task raised
* ``published``    what was published, with which arguments
* ``Clock``        the time of the test's database
* ``databases``    fresh databases without pytest
* ``using``        points an app at a database for a while
"""

from howdah.testing.clock import Clock
from howdah.testing.databases import Databases, FreshDatabase, databases
from howdah.testing.inline import drain, drain_sync
from howdah.testing.pointing import using
from howdah.testing.publications import Publication, published, published_sync
from howdah.testing.single import run, run_sync

__all__ = [
    "Clock",
    "Databases",
    "FreshDatabase",
    "Publication",
    "databases",
    "drain",
    "drain_sync",
    "published",
    "published_sync",
    "run",
    "run_sync",
    "using",
]
