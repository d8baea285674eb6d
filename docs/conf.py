"""The site, built by `make docs`; neither the build nor the pages fetch anything."""

import sys
import warnings
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "pathrelu"
author = "The pathrelu developers"
copyright = author
release = version = version_of("pathrelu")

extensions = [
    "myst_parser",
    "numpydoc",
    "pathrelu_docs",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_build",
    "_templates",
    "**/sg_execution_times.rst",
    "sg_execution_times.rst",
]
templates_path = ["_templates"]
default_role = "literal"
highlight_language = "text"
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_fence_as_directive = ["math"]  # as GitHub draws them
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "pathrelu"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["pathrelu.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
# Pages without pages below them: there is nothing to show at the side.
html_sidebars = {
    page: []
    for page in (
        *(
            "README",
            "changelog",
            "citing",
            "contributing",
            "faq",
            "getting_started",
        ),
        *("experiments", "theory", "vocabulary", "when_to_use"),
    )
}
html_theme_options = {
    "logo": {"text": "pathrelu"},
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "backreferences_dir": "reference/examples",
    "doc_module": ("pathrelu",),
    "default_thumb_file": str(HERE / "_static" / "logo.svg"),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": False,
    "show_memory": False,
    "image_srcset": ["2x"],
    "min_reported_time": 3600,
    "remove_config_comments": True,
    "download_all_examples": False,
}

# What an example warns of is a failure of the example.
warnings.filterwarnings("error", module=r"__main__|pathrelu")
