"""Errors in vLLM's form: {"error": {"message", "type", "param", "code"}}.

ApiError is the only error that handlers raise on purpose; the constructors below give vLLM's types, codes and texts:

    validation       400 Bad Request         a field of the wrong JSON type (pydantic's check)
    bad_request      400 BadRequestError     a value that the model server refuses
    bad_adapter      400 InvalidUserInput    a wrong call of the LoRA endpoints
    not_found        404 NotFoundError       an unknown model or adapter
    no_route         404 / 405               an unknown path, or a known one with another method
    unavailable      503                     draining
    injected         any                     asked for through /debug/faults
"""

from http import HTTPStatus

import msgspec


class ApiError(Exception):
    """An answer that is an error: `status` is the HTTP status, `param` the field to blame."""

    def __init__(self, status: int, error_type: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.param = param

    def body(self) -> bytes:
        """The JSON body."""
        detail = {"message": self.message, "type": self.error_type, "param": self.param, "code": self.status}
        return msgspec.json.encode({"error": detail})


def validation(message: str, param: str | None = None) -> ApiError:
    """A body that is not what the endpoint's schema says."""
    return ApiError(400, HTTPStatus.BAD_REQUEST.phrase, f"1 validation error:\n  {message}", param)


def bad_request(message: str, param: str | None = None) -> ApiError:
    """A well-formed body with a value that cannot be served."""
    return ApiError(400, "BadRequestError", message, param)


def bad_adapter(message: str) -> ApiError:
    """A wrong call of a LoRA endpoint."""
    return ApiError(400, "InvalidUserInput", message)


def not_found(message: str, param: str | None = None) -> ApiError:
    """A model or adapter that is not there."""
    return ApiError(404, "NotFoundError", message, param)


def no_route(status: HTTPStatus) -> ApiError:
    """A path or method that is not served."""
    return ApiError(status.value, status.phrase, status.phrase)


def unavailable(message: str) -> ApiError:
    """The pod is going away."""
    return ApiError(503, "ServiceUnavailableError", message)


def injected(status: int) -> ApiError:
    """A failure that a test asked for."""
    error_type = "InternalServerError" if status >= 500 else "InjectedError"
    return ApiError(status, error_type, f"injected fault: status {status}")
