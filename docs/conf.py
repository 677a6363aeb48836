"""Sphinx configuration. Build with ``make docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from links import find_in_package, inventories  # noqa: E402
from members import skip_foreign_members  # noqa: E402

project = "skccvae"
author = "The skccvae developers"
copyright = "2026, The skccvae developers"
release = installed_version("skccvae")
version = ".".join(release.split(".")[:2])

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = [
    "_build",
    "auto_examples/*.ipynb",
    "**/GALLERY_HEADER.rst",
    "**/backreferences/**",
]
# Quotation marks in the types of parameters are code.
smartquotes = False
source_suffix = {".rst": "restructuredtext", ".ipynb": "myst-nb"}
# A notebook is shown as it was run by docs/figures/notebook.py.
nb_execution_mode = "off"
nb_merge_streams = True
# Single backticks link to what they name, if the reference has it, and are code otherwise.
default_role = "obj"
intersphinx_mapping = inventories(HERE / "_build" / "inventories")
intersphinx_disabled_reftypes: list[str] = []
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The reference is generated from each module's __all__, so that it cannot forget a name.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "none"  # numpydoc states types, shapes and domains
numpydoc_show_class_members = False
numpydoc_use_plots = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # plot_*.py run while the site is built; docs/figures/gallery.py runs those that need data.
    "filename_pattern": r"/plot_",
    # A program with options, which docs/quickstart.rst and README.md show with its table.
    # The pattern is matched against the name of the file, without its folder.
    "ignore_pattern": r"^quickstart\.py$",
    "capture_repr": (),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    # Lists of the examples that use an object, for its page in the reference.
    "backreferences_dir": "reference/backreferences",
    "doc_module": ("skccvae",),
}

html_theme = "pydata_sphinx_theme"
html_title = "skccvae"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
toc_object_entries_show_parents = "hide"
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "back_to_top_button": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_sidebars = {"quickstart": [], "results": [], "changelog": []}


def setup(app):
    app.connect("autodoc-skip-member", skip_foreign_members)
    # After intersphinx, which resolves the names of other sites first.
    app.connect("missing-reference", find_in_package, priority=900)
