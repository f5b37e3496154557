"""What all views have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from workbench.views import html


class View(ABC):
    """A view shows itself in a notebook, is a piece of a report, and can be saved.

    Attributes
    ----------
    title : str
        Shown above; "" for none.
    """

    title: str

    @abstractmethod
    def fragment(self) -> str:
        """Return the view as a piece of HTML that needs nothing else."""

    def _repr_html_(self) -> str:
        return self.fragment()

    def save(self, path: str | Path) -> Path:
        """Write a self-contained HTML file and return its path.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        return html.save(html.page(self.title or type(self).__name__, self.fragment()), path)


class PlainView(View):
    """A view without scripts; its style comes from the page, or with it in a notebook."""

    def _repr_html_(self) -> str:
        return f"<style>{html.css()}</style>{self.fragment()}"
