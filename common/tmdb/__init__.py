"""TMDB's API as this project uses it: films with their credits, IMDb ids, and titles that are ranked here.

The evidence behind every rule is in TMDB's documentation and in other clients' bug reports; links are in the
modules. Nothing here ever puts the credential into a URL, a log line or an error.
"""

from common.tmdb.client import TmdbClient
from common.tmdb.titles import Candidate, Match, match_title, split_year
from common.tmdb.transport import Deadline, TmdbTransport

__all__ = ["Candidate", "Deadline", "Match", "TmdbClient", "TmdbTransport", "match_title", "split_year"]
