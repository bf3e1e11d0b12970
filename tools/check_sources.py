"""Asks each server of the table of sources whether its file is still there, and whether it has the size that the table says.

    python tools/check_sources.py                      # all files
    python tools/check_sources.py resnet18 keras       # those whose name or project contains one of these words

Sends HEAD requests only. The exit status is 1 if a file is gone, has another size, or a server does not answer.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.weights.sources import Source, all_sources

TIMEOUT = 20.0  # seconds


def check(source: Source) -> tuple[bool, str]:
    """Whether a file is as the table says, and what its server answers, for people."""
    try:
        with urlopen(Request(source.url, method="HEAD", headers={"User-Agent": "ssdzoo"}), timeout=TIMEOUT) as response:
            length, kind = response.headers.get("Content-Length"), response.headers.get_content_type()
    except HTTPError as error:
        return False, f"HTTP {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return False, f"no answer: {getattr(error, 'reason', error)}"
    if kind == "text/html":
        return False, "a web page, such as one to log in"
    if length is None:
        return True, "there, of unknown size"
    size = int(length)
    if source.size and size != source.size:
        return False, f"{size} bytes, not {source.size}"
    if source.mib and abs(size / 2**20 - source.mib) > 0.001:
        return False, f"{size / 2**20:.3f} MiB, not {source.mib}"
    return True, f"{size} bytes" + ("" if source.size or source.mib else ", which the table does not say")


def main(words: list[str]) -> int:
    if {"-h", "--help"} & set(words):
        print(__doc__.strip())
        return 0
    sources = [s for s in all_sources() if not words or any(word.lower() in f"{s.file} {s.title}".lower() for word in words)]
    if not sources:
        print(f"no file of the table has {' or '.join(map(repr, words))} in its name or its project's")
        return 1
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(check, sources))
    width = max(len(source.file) for source in sources)
    for source, (good, answer) in zip(sources, answers):
        print(f"{'ok    ' if good else 'FAILED'}  {source.file:{width}}  {answer}" + f"  {source.url}" * (not good))
    failed = sum(not good for good, _ in answers)
    print(f"{len(sources) - failed} of {len(sources)} files are as the table says")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
