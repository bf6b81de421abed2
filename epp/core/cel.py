"""The part of the Common Expression Language that arithmetic over a few numbers needs.

Literals (`1`, `2.5`, `true`, `false`), one variable with fields (`usage.prompt_tokens`), `has(usage.x)`, `int()` and
`double()`, `( )`, `? :`, `||`, `&&`, `== != < <= > >=`, `+ - * / %`, `!` and unary `-`. Everything else is refused when
the expression is compiled. Fields are doubles; int and double mix, the result is a double. As in CEL, int / int and
int % int cut towards 0, and `||` and `&&` forgive an error on one side where the other side decides.
Source: github.com/google/cel-spec.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping

Value = int | float | bool
Fields = Mapping[str, float]
"""by path below the variable: `prompt_tokens`, `prompt_tokens_details.cached_tokens`"""
Evaluate = Callable[[Fields], Value]

MOST_CHARACTERS = 2_000
MOST_TOKENS = 200
MOST_NESTED = 30
_TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?[eE][+-]?\d+|\d+\.\d*|\d+|[A-Za-z_]\w*|\|\||&&|[=!<>]=|[-+*/%!<>?:().])")
_COMPARISONS: Mapping[str, Callable[[Value, Value], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONVERSIONS: Mapping[str, Callable[[Value], Value]] = {"int": int, "double": float}


class CelError(ValueError):
    """An expression that cannot be compiled, or has no value for these fields."""


def compile_expression(text: str, variable: str, known: frozenset[str]) -> Evaluate:
    """What the expression says of the fields of `variable`, all of which are `known`; raises CelError, as the result
    does where a field that is not there is needed, types do not fit, or a number is divided by 0.
    """
    if len(text) > MOST_CHARACTERS:
        raise CelError(f"the expression has {len(text)} characters, at most {MOST_CHARACTERS} are read")
    tokens = list(_tokens(text))
    if len(tokens) > MOST_TOKENS:
        raise CelError(f"the expression has {len(tokens)} words and signs, at most {MOST_TOKENS} are read")
    return _Parser(tokens, variable, known).whole()


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise CelError(f"{text[at:].strip()[:20]!r} is nothing that can be read here")
        at = found.end()
        yield found[1]


class _Parser:
    """Recursive descent, one method per level of precedence."""

    def __init__(self, tokens: list[str], variable: str, known: frozenset[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._nested = 0
        self._variable = variable
        self._known = known

    def whole(self) -> Evaluate:
        """The expression and nothing behind it."""
        found = self._conditional()
        if self._at < len(self._tokens):
            raise CelError(f"unexpected {self._tokens[self._at]!r}")
        return found

    def _take(self, *wanted: str) -> str:
        """The next token if it is one of these, else nothing."""
        if self._at < len(self._tokens) and self._tokens[self._at] in wanted:
            self._at += 1
            return self._tokens[self._at - 1]
        return ""

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            found = repr(self._tokens[self._at]) if self._at < len(self._tokens) else "the end"
            raise CelError(f"expected {wanted!r}, found {found}")

    def _conditional(self) -> Evaluate:
        self._nested += 1
        if self._nested > MOST_NESTED:
            raise CelError("the expression is nested too deeply")
        condition = self._either()
        if self._take("?"):
            yes = self._conditional()
            self._expect(":")
            no = self._conditional()
            self._nested -= 1
            return lambda fields: yes(fields) if _truth(condition(fields)) else no(fields)
        self._nested -= 1
        return condition

    def _either(self) -> Evaluate:
        left = self._both()
        while self._take("||"):
            left = _logical(left, self._both(), decides=True)
        return left

    def _both(self) -> Evaluate:
        left = self._comparison()
        while self._take("&&"):
            left = _logical(left, self._comparison(), decides=False)
        return left

    def _comparison(self) -> Evaluate:
        left = self._sum()
        while sign := self._take(*_COMPARISONS):
            left = _compared(_COMPARISONS[sign], left, self._sum())
        return left

    def _sum(self) -> Evaluate:
        left = self._product()
        while sign := self._take("+", "-"):
            left = _calculated(operator.add if sign == "+" else operator.sub, left, self._product())
        return left

    def _product(self) -> Evaluate:
        left = self._unary()
        while sign := self._take("*", "/", "%"):
            left = _calculated({"*": operator.mul, "/": _divide, "%": _remainder}[sign], left, self._unary())
        return left

    def _unary(self) -> Evaluate:
        signs = []
        while sign := self._take("!", "-"):
            signs.append(sign)
        value = self._primary()
        for sign in reversed(signs):
            value = _negated(value) if sign == "!" else _calculated(operator.sub, lambda _: 0, value)
        return value

    def _primary(self) -> Evaluate:
        if self._take("("):
            inner = self._conditional()
            self._expect(")")
            return inner
        if self._at >= len(self._tokens):
            raise CelError("the expression ends too early")
        word = self._tokens[self._at]
        self._at += 1
        if word in ("true", "false"):
            return lambda _: word == "true"
        if word[0].isdigit():
            number: Value = int(word) if word.isdigit() else float(word)
            return lambda _: number
        if word == "has":
            self._expect("(")
            path = self._path()
            self._expect(")")
            return lambda fields: path in fields
        if word in _CONVERSIONS:
            self._expect("(")
            inner = self._conditional()
            self._expect(")")
            return _converted(_CONVERSIONS[word], inner)
        self._at -= 1
        path = self._path()
        return lambda fields: _field(fields, path)

    def _path(self) -> str:
        """Of a field of the variable."""
        if not self._take(self._variable):
            found = self._tokens[self._at] if self._at < len(self._tokens) else "the end"
            raise CelError(f"there is no {found!r} here, only {self._variable!r} and its fields")
        steps = []
        while self._take("."):
            steps.append(self._tokens[self._at] if self._at < len(self._tokens) else "")
            self._at += 1
        path = ".".join(steps)
        if path not in self._known:
            raise CelError(f"{self._variable!r} has no field {path!r}; there are {', '.join(sorted(self._known))}")
        return path


def _field(fields: Fields, path: str) -> float:
    if path not in fields:
        raise CelError(f"there is no {path}")
    return fields[path]


def _truth(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    raise CelError("a condition must be true or false")


def _number(value: Value) -> int | float:
    if isinstance(value, bool):
        raise CelError("true and false are no numbers")
    return value


def _negated(value: Evaluate) -> Evaluate:
    return lambda fields: not _truth(value(fields))


def _logical(left: Evaluate, right: Evaluate, *, decides: bool) -> Evaluate:
    def evaluate(fields: Fields) -> bool:
        try:
            first = _truth(left(fields))
        except CelError:
            if _truth(right(fields)) is decides:
                return decides
            raise
        return decides if first is decides else _truth(right(fields))

    return evaluate


def _compared(compare: Callable[[Value, Value], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(fields: Fields) -> bool:
        first, second = left(fields), right(fields)
        if isinstance(first, bool) is not isinstance(second, bool):
            raise CelError("a number cannot be compared with true or false")
        return compare(first, second)

    return evaluate


def _calculated(calculate: Callable[[Value, Value], Value], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(fields: Fields) -> Value:
        first, second = _number(left(fields)), _number(right(fields))
        try:
            return calculate(first, second)
        except (ZeroDivisionError, OverflowError, ValueError) as error:
            raise CelError(str(error)) from error

    return evaluate


def _converted(convert: Callable[[Value], Value], inner: Evaluate) -> Evaluate:
    def evaluate(fields: Fields) -> Value:
        value = _number(inner(fields))
        try:
            return convert(value)
        except (OverflowError, ValueError) as error:
            raise CelError(str(error)) from error

    return evaluate


def _divide(left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, int):
        return math.trunc(left / right)
    return left / right


def _remainder(left: Value, right: Value) -> Value:
    rest = math.fmod(left, right)
    return int(rest) if isinstance(left, int) and isinstance(right, int) else rest
