"""For `mkdocs build`: links of the pages that leave docs/ work in the repository, and lead there from the site too."""

import re
from pathlib import Path

from mkdocs.structure.files import File

PRESETS = Path(__file__).parents[1] / "presets" / "README.md"


def on_files(files, config):
    """Makes presets/README.md a page."""
    text = PRESETS.read_text("utf-8").replace("../docs/", "")
    files.append(File.generated(config, "presets.md", content=text))


def on_page_markdown(markdown, page, config, files):
    if "/" in page.file.src_uri:
        return markdown
    markdown = markdown.replace("../presets/README.md", "presets.md")
    return re.sub(r"\]\(\.\./", f"]({config.repo_url}/blob/main/", markdown)
