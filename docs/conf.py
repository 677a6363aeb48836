"""Sphinx configuration. Build with ``make docs``."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version

project = "skccvae"
author = "The skccvae developers"
copyright = "2026, The skccvae developers"
release = installed_version("skccvae")
version = ".".join(release.split(".")[:2])

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb", "**/GALLERY_HEADER.rst"]
default_role = "code"

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
    "ignore_pattern": r"/quickstart\.py",
    "capture_repr": (),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "skccvae"
html_static_path = ["_static"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_sidebars = {"quickstart": []}


def plain_roles(app, what, name, obj, options, lines):
    """Docstrings that are scikit-learn's own refer to its pages, which this site has not."""
    if name.startswith("skccvae.model_selection.PackedGridSearchCV."):
        role = re.compile(r":(?:ref|term):`(?:([^`<]+?)\s*<[^`]*>|([^`]*))`")
        lines[:] = [role.sub(lambda found: f"``{found[1] or found[2]}``", line) for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", plain_roles)
