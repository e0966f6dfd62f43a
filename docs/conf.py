"""Settings of the site. `make site` builds it from the pages of this folder, the notebooks and the docstrings.

The source folder of the build is the repository itself, so every link that works between the files works on the site.
"""

import cudfkd
from analysis.evidence.pages import mathjax

project = "The CuDFKD companion"
author = "The CuDFKD companion authors"
project_copyright = f"2026 {author}"
release = version = cudfkd.__version__
language = "en"
smartquotes = False  # docstrings quote code

root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*", "figures/README.md", "benchmarks/README.md"]
include_patterns += ["README.md", "ERRORS.md", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", "out", "runs", "build", "dist", "docs/builder"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "docs.builder"]

# Pages and notebooks. Sphinx runs no notebook: `make figures` has run them.
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_update_mathjax = False
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_ipywidgets_js: dict = {}  # live widgets would be fetched from another host
nb_merge_streams = True

# The reference
autodoc_default_options = {"members": True, "ignore-module-all": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
default_role = "literal"
highlight_language = "text"

# MathJax lies in one file beside the pages. SVG output needs no fonts, which browsers refuse to load from file://.
mathjax_path = mathjax().name
mathjax3_config = {
    "tex": {"inlineMath": [["$", "$"], ["\\(", "\\)"]]},
    "options": {"ignoreHtmlClass": "page", "processHtmlClass": "math|text_html", "enableMenu": False},
}

# Looks
html_theme = "furo"
html_title = project
html_static_path = ["builder/static", str(mathjax())]
html_css_files = ["site.css"]
html_js_files = [("moving.js", {"defer": "defer"})]
html_additional_pages = {"index": "redirect.html"}
templates_path = ["builder/templates"]
html_show_search_summary = False  # summaries are fetched, which browsers refuse on file://
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
