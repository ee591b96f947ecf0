"""Keep templates of prompts in a manager of your own: checked when made, with their versions."""

import string
import tempfile

import attrs

from statestore import InvalidRecord, Manager, Store
from statestore.managers import Items, items_field


@attrs.frozen
class Template:
    """A prompt: `$name` stands for a variable, `$$` for a dollar sign. `earlier` are its texts."""

    id: str
    text: str = attrs.field()
    earlier: Items[str] = items_field(str)

    @text.validator
    def _want_template(self, _: object, text: object) -> None:
        if not isinstance(text, str) or not string.Template(text).is_valid():
            raise ValueError("text takes a template: a $ stands before a name, or is written $$")


class TemplateManager(Manager[Template]):
    """Templates, in `templates/`, by their names."""

    def __init__(self) -> None:
        super().__init__("templates", Template)

    def write(self, name: str, text: str) -> Template:
        """Make a template, or give it a new text."""
        if name not in self:
            return self.create(id=name, text=text)
        old = self[name]
        return self.update(name, text=text, earlier=old.earlier.extended([old.text]))

    def render(self, name: str, **values: str) -> str:
        """Return a template's text with values in it: one for each variable, none besides."""
        template = string.Template(self[name].text)
        variables = template.get_identifiers()
        if set(values) != set(variables):
            raise InvalidRecord(self.kind, name, f"its variables are: {', '.join(variables)}")
        return template.substitute(values)


with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
    templates = store.register(TemplateManager())
    templates.write("review", "Review $file.")
    templates.write("review", "Review $file. It costs $$5 at most.")
    try:
        templates.write("review", "It costs $5.")
    except InvalidRecord as error:
        print("refused:", error)
    store.save_all()
    store.load_all()
    assert templates.render("review", file="a.py") == "Review a.py. It costs $5 at most."
    assert templates["review"].earlier == ("Review $file.",)
