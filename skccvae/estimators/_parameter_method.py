"""One name that is both a constructor parameter and a public method.

``SphericalVAETransformer(posterior="power_spherical")`` names a family of distributions, and
``vae.posterior(X)`` gives one of that family. scikit-learn stores a parameter as an attribute of
the same name, which would hide the method.

The rule here: the *stored* value, in the instance's ``__dict__``, is the plain object that the
user passed. ``get_params`` returns that very object, so that clone, pickle, ``repr``, parameter
validation and saving see nothing unusual (clone insists that a new estimator gives back the same
object it was given). Only *attribute access* is special: it returns a string that can be called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class ParameterMethod:
    """Decorator of a method whose name may also be a constructor parameter.

    On an instance that never set such a parameter the name is an ordinary bound method.

    Parameters
    ----------
    function : callable
        The method.

    Examples
    --------
    >>> class Estimator:
    ...     def __init__(self, posterior):
    ...         self.posterior = posterior
    ...     @ParameterMethod
    ...     def posterior(self, X):
    ...         return f"{self.posterior} of {X}"
    >>> estimator = Estimator("normal")
    >>> estimator.posterior == "normal", estimator.posterior("X"), vars(estimator)
    (True, 'normal of X', {'posterior': 'normal'})
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self.function  # what help() and documentation tools look at
        method = self.function.__get__(instance, owner)
        if self.name not in vars(instance):
            return method
        value = vars(instance)[self.name]
        # A value of the wrong type stays as it is: fitting refuses it, and it can still be seen.
        return CallableName(value, method) if isinstance(value, str) else value

    # With a setter this is a data descriptor, which Python asks before the instance's __dict__.
    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self.name] = str(value) if type(value) is CallableName else value

    def __delete__(self, instance: Any) -> None:
        try:
            del vars(instance)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None


class CallableName(str):
    """The value of a parameter, equal to the plain string, that calls the method of its name.

    Copies and pickles are plain strings: the tie to the estimator belongs to the access alone.
    """

    __wrapped__: Callable[..., Any]

    def __new__(cls, value: str, method: Callable[..., Any]) -> CallableName:
        """Tie a string to a bound method."""
        self = super().__new__(cls, value)
        self.__wrapped__ = method  # inspect.signature follows this name
        self.__doc__ = method.__doc__
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return str, (str(self),)

    def __copy__(self) -> str:
        return str(self)

    def __deepcopy__(self, memo: Any) -> str:
        return str(self)
