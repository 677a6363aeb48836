"""The figures of the tutorials and the guide: ``python -m figures`` in the folder docs/.

One module a page. Each has a dict ``FIGURES`` from the stem of an image's file to the function that
draws it, and keeps the mathematics of a figure in functions that return numbers.
"""
