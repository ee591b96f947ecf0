"""The contract, and agreement between formats."""

import io

import pytest
import yaml

from statestore.models.documents import MAX_LEVEL
from statestore.serializers import get
from statestore.testing.serializer import SAMPLE, SerializerContract, alike, nested
from statestore.testing.strategies import NAUGHTY_TEXT, documents, for_each


def _short(text):
    return ascii(text)[:30]


ALL = ("json", "compact", "gzip", "yaml", "yaml+gzip")


class TestJson(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return get("json")


class TestCompact(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return get("compact")


class TestGzip(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return get("gzip")


class TestYaml(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return get("yaml")


class TestYamlWithoutLibyaml(TestYaml):
    @pytest.fixture
    def serializer(self, monkeypatch):
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
        return get("yaml")


class TestPackedYaml(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return get("yaml+gzip")


@for_each(max_examples=150, document=documents())
def test_all_formats_agree(document):
    for name in ALL:
        assert alike(get(name).loads(get(name).dumps(document)), document), name


@pytest.mark.parametrize("text", NAUGHTY_TEXT, ids=_short)
def test_naughty_text_survives_anywhere(text):
    document = {text: text, "list": [text, [text, {text: [text]}]], "last": {"k": text}}

    for name in ALL:
        data = get(name).dumps(document)
        assert alike(get(name).loads(data), document), name
        assert alike(get(name).loads(get(name).dumps(text)), text), name


# The other readers of YAML that our users have. PyYAML takes YAML 1.1 for its word, so this is
# also the proof that what we write means the same in both versions.


def _safe_loads(data):
    readers = [yaml.SafeLoader]
    if hasattr(yaml, "CSafeLoader"):
        readers.append(yaml.CSafeLoader)
    return [yaml.load(io.BytesIO(data), Loader=reader) for reader in readers]


@for_each(max_examples=300, document=documents())
def test_other_readers_of_yaml_agree(document):
    for read in _safe_loads(get("yaml").dumps(document)):
        assert alike(read, document)


@pytest.mark.parametrize("text", NAUGHTY_TEXT, ids=_short)
def test_other_readers_of_yaml_agree_on_naughty_text(text):
    document = {text: text, "list": [text, [text, {text: [text]}]], "last": {"k": text}}

    for read in _safe_loads(get("yaml").dumps(document)):
        assert alike(read, document)
    for read in _safe_loads(get("yaml").dumps(text)):
        assert alike(read, text)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("mappings", [False, True])
def test_every_level_up_to_the_limit_is_kept(name, mappings):
    for level in range(MAX_LEVEL + 1):
        document = nested(level, "a\nb", mappings=mappings)
        assert get(name).loads(get(name).dumps(document)) == document


@pytest.mark.parametrize("name", ALL)
def test_sample_is_the_same_in_each_format(name):
    assert alike(get(name).loads(get(name).dumps(SAMPLE)), SAMPLE)
