"""The figures of the tutorials and the guide: ``python -m figures`` in the folder docs/.

There is one module for each page. Each has a dict ``FIGURES``, which maps the stem of an image file
to the function that draws it. The mathematics of a figure is in functions that return numbers.
"""
