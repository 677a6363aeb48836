"""Hourly temperature normals of two cities: real data on a circle, included in the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skccvae._sklearn import validate_params
from skccvae.datasets._base import pack, packaged_table

_DESCR = """\
Daily temperatures
------------------

The normal temperature of each hour of each day of the year, in degrees Fahrenheit as published,
at the airports of Seattle (station USW00024233) and San Francisco (USW00023234). A normal is a
mean over the thirty years 1981 to 2010. A row is a day, from 1 January to 31 December, without 29
February. The columns are the 24 hours of Seattle and then those of San Francisco. The target is
the day, from 0 to 364.

The rows lie on a loop: 31 December is as near to 1 January as any day is to the next. The loop is
flat, since spring and autumn have much the same mean temperature and differ only in how the
temperature changes over the day. The first principal component holds 97.6 % of the variance and the
second 1.9 %.

The hours do not follow daylight saving time: neither city's curve jumps where clocks change. The
source lacks one value for each city, at 3 o'clock on 14 March. Here that value is the mean of the
same hour on the days before and after.

Source: NOAA National Centers for Environmental Information, U.S. Hourly Climate Normals
(1981-2010), a work of the United States government in the public domain. The values come from
seattle-temps.csv and sf-temps.csv of vega-datasets. See
skccvae/datasets/data/daily_temperatures_notice.txt.

Arguez, A., Durre, I., Applequist, S., Vose, R. S., Squires, M. F., Yin, X., Heim, R. R. and Owen,
T. W. (2012). NOAA's 1981-2010 U.S. climate normals: an overview. Bulletin of the American
Meteorological Society 93(11), 1687-1697.
"""


@validate_params(
    {"return_X_y": ["boolean"], "as_frame": ["boolean"]}, prefer_skip_nested_validation=True
)
def load_daily_temperatures(
    *, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any]:
    """Load the hourly temperature normals of Seattle and San Francisco, one row for each day.

    The days of the year make a circle, so the rows lie on a loop. The loop is flat: 97.6 % of the
    variance is the change from winter to summer, and only the course of the temperature over the
    day distinguishes spring from autumn. The data are included in the package.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        If True, `data` is a pandas DataFrame and `target` a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (365, 48)
            Temperatures in degrees Fahrenheit, 37.5 to 75.9, for 24 hours in Seattle and 24 in San
            Francisco. The hours do not follow daylight saving time. No value is missing: the source
            lacks 3 o'clock on 14 March, which is the mean of that hour on the days before and
            after. A DataFrame if `as_frame`.
        target : ndarray of shape (365,), float64
            Day of the year: 0 is 1 January, 364 is 31 December. ``2 * np.pi * target / 365`` is
            its angle on the circle. A Series if `as_frame`.
        feature_names : list of str
            ``"seattle_00"`` to ``"san_francisco_23"``.
        frame : DataFrame of shape (365, 49) or None
            Data and target together if `as_frame`.
        DESCR : str
            Description of the data set.

    (data, target) : tuple, if `return_X_y`

    Raises
    ------
    ImportError
        If `as_frame` and pandas is not installed.

    See Also
    --------
    make_sphere_mixture : Random data on a circle or a sphere, with noise.
    load_mammals : Real data on a tree.

    References
    ----------
    Arguez, A., Durre, I., Applequist, S., Vose, R. S., Squires, M. F., Yin, X., Heim, R. R. and
    Owen, T. W. (2012). NOAA's 1981-2010 U.S. climate normals: an overview. Bulletin of the American
    Meteorological Society 93(11), 1687-1697.

    Examples
    --------
    >>> import numpy as np
    >>> from skccvae.datasets import load_daily_temperatures
    >>> X, day = load_daily_temperatures(return_X_y=True)
    >>> X.shape
    (365, 48)

    The last day of the year is a neighbour of the first, and midsummer is far away:

    >>> np.linalg.norm(X[[364, 181]] - X[0], axis=1).round(1)
    array([  1. , 127.3])
    """
    header, rows = packaged_table("daily_temperatures.csv.gz")
    return pack(
        "load_daily_temperatures",
        data=np.array(rows, dtype=np.float64),
        target=np.arange(len(rows), dtype=np.float64),
        feature_names=header,
        target_columns=["day"],
        return_X_y=return_X_y,
        as_frame=as_frame,
        DESCR=_DESCR,
    )
