"""Where the benchmark keeps things: everything it makes is under target/bench."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SETS = REPOSITORY / "benches" / "sets"
BENCH = REPOSITORY / "target" / "bench"
# Kept from one benchmark to the next.
PEERS = BENCH / "peers"
WHEELS = BENCH / "wheels"
RESULTS = BENCH / "results.json"
PROFILES = BENCH / "profile"
# Made anew by each: deleted before and after, never between runs, as large deletes slow a file system.
RUNS = BENCH / "runs"
