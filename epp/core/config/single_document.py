"""The one document of a configuration file."""

from epp.core.config.mistakes import ConfigurationError, Mistake
from epp.core.domain.errors import InvalidInput
from epp.core.yaml import Document, load_documents


def single_document(text: str | bytes, source: str, kind: str) -> Document:
    """The document of `text`, a mapping; `kind` names what it should be. Raises ConfigurationError."""
    try:
        documents = load_documents(text, source)
    except InvalidInput as error:
        raise ConfigurationError([Mistake(source, error.line, error.field, error.problem)]) from error
    if not documents:
        raise ConfigurationError([Mistake(source, None, "", f"there is no {kind} in it", "it is empty")])
    first = documents[0]
    if not isinstance(first.value, dict):
        raise ConfigurationError([Mistake(source, first.line, "", f"expected a mapping, the fields of {kind}")])
    if len(documents) > 1:
        problem = f"a second document begins here; a file holds one {kind}"
        raise ConfigurationError([Mistake(source, documents[1].line, "", problem)])
    return first
