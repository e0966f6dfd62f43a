"""`python -m docs.builder`: writes the generated parts into the committed pages, for readers without the site."""

import sys

from analysis.origin import ROOT
from cudfkd.base import command
from cudfkd.base.console import say
from cudfkd.base.files import write_bytes
from docs.builder import pages


def main() -> int:
    """Writes the pages that are out of date. Returns the exit code, see `analysis.__main__.main`."""

    def program() -> int:
        for path in sorted((ROOT / "docs").rglob("*.md")):
            page, before = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
            after = pages.written(before, page)
            if after != before:
                write_bytes(path, after.encode())
                say(page)
        return 0

    return command.run("docs.builder", program)


if __name__ == "__main__":
    sys.exit(main())
