"""Vertex AI's PredictionService over gRPC: OpenAI's JSON inside a google.api.HttpBody.

| message                                                             | field     | number |
| ------------------------------------------------------------------- | --------- | ------ |
| ChatCompletionsRequest, RawPredictRequest, StreamRawPredictRequest  | http_body | 2      |
| HttpBody                                                            | data      | 2      |

Source: prediction_service.proto of google.cloud.aiplatform.v1 and v1beta1, google/api/httpbody.proto.

The message is forwarded as it came, so an integer `priority` inside the JSON is not taken as a claim: it could not be
cut out as it is from a body of plain JSON.
"""

from epp.core.domain.errors import BadRequest
from epp.core.domain.record import replaced
from epp.core.domain.request import ModelField
from epp.core.protocol.apis import openai
from epp.core.protocol.body import NO_BODY, RequestBody
from epp.core.protocol.grpc_frames import first_message
from epp.core.protocol.protobuf_fields import Data, MalformedProtobuf, fields

SERVICE = "PredictionService"
"""of any package: google.cloud.aiplatform.v1, .v1beta1"""
HTTP_BODY = 2
BODY_DATA = 2


def read_chat_completions(data: Data) -> RequestBody:
    """Body of ChatCompletions; raises BadRequest. In a compression that is not known here, nothing is read."""
    json = _json_of(data)
    return NO_BODY if json is None else _unclaimed(openai.read_chat_completions(json))


def read_raw_predict(data: Data) -> RequestBody:
    """Body of RawPredict and StreamRawPredict: of whichever of OpenAI's APIs it has the field."""
    json = _json_of(data)
    return NO_BODY if json is None else _unclaimed(openai.read_by_field(json))


def body_data(http_body: Data) -> memoryview | None:
    """`data` of a google.api.HttpBody; None where there is none. Raises MalformedProtobuf."""
    return _last(http_body, BODY_DATA)


def _json_of(body: Data) -> memoryview | None:
    message = first_message(body)
    if message is None:
        return None
    try:
        http_body = _last(message, HTTP_BODY)
        json = None if http_body is None else body_data(http_body)
    except MalformedProtobuf as error:
        raise BadRequest(
            f"unmarshaling the request of {SERVICE}: {error}", hint="the gRPC message must hold an http_body"
        ) from error
    if json is None:
        raise BadRequest(
            f"the request of {SERVICE} has no HttpBody",
            hint='"http_body.data" must be a JSON object',
            param="http_body",
        )
    return json


def _last(message: Data, wanted: int) -> memoryview | None:
    found = None
    for number, value in fields(message):
        if number == wanted and isinstance(value, memoryview):
            found = value
    return found


def _unclaimed(body: RequestBody) -> RequestBody:
    """Nothing of it can be edited: no rewrite can give it a model, and its priority cannot be cut out."""
    if not body.model:
        raise BadRequest(
            "model not found in request body",
            hint='"model" must be a non-empty string: the name of the base model or of a LoRA adapter',
            param="model",
        )
    return replaced(body, claimed_priority=None, model_field=ModelField.NONE)
