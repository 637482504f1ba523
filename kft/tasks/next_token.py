"""Next-token prediction, the objective of generative language models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from kft.answers import Ops, Ranking, Rules
from kft.arguments import shown
from kft.data.raw_labels import RawLabels, ReadTargets, Targets
from kft.data.sequences import as_rows
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.next_token_scorer import NextTokenScorer
from kft.tasks.language.files import read_text_file, read_text_lines
from kft.tasks.language.layers import FollowingTokens, TokenAccuracy, TokenCrossEntropy
from kft.tasks.language.parts import joined, parts_of
from kft.tasks.predictions.next_tokens import NextTokenPredictions
from kft.tasks.task import Task

CANDIDATES = 10  # number of most probable tokens in an answer


@dataclass(frozen=True, kw_only=True, repr=False)
class NextToken(Task):
    """Prediction of each token of a text from those before it, to fine-tune a model that writes.

    Data are texts, prompts with answers, or chats: a list of strings, of pairs `(prompt, answer)` or of
    dicts; JSON lines of such dicts; a folder of .txt files; or a table with a column of texts. If there
    is a prompt, loss and figures count only the answer.

    Args:
        template: The format of a chat message: a text with `{content}`, and `{role}` before it. Defaults
            to `"{role}: {content}\\n"`.

    Raises:
        InputError: If the template does not contain `{content}` exactly once.

    Example:

    ```python
    recipe = CausalLMRecipe("gpt2_base_en")
    run = recipe.fit("stories/", run_dir="runs/stories")
    print(recipe.generate("Once upon a time", max_new_tokens=40))
    ```
    """

    name: ClassVar[str] = "next_token"
    needs: ClassVar[str] = "next_token"
    has_labels: ClassVar[bool] = False
    directions: ClassVar[Mapping[str, Better]] = {"accuracy": "max"}

    template: str = "{role}: {content}\n"

    def __post_init__(self) -> None:
        if not isinstance(self.template, str) or self.template.count("{content}") != 1:
            raise InputError(
                f"`template={shown(self.template)}` does not say where a message stands: pass a text "
                'with {content} once, such as "{role}: {content}\\n".'
            )

    # From texts to targets.

    @property
    def files(self) -> Mapping[str, Callable[[Path, str], ReadFile]]:
        """The readers of .txt files, and of JSON lines of texts, prompts with answers, and chats."""
        lines = partial(read_text_lines, template=self.template)
        return {".txt": read_text_file, ".jsonl": lines, ".ndjson": lines}

    def inputs_and_labels(self, source: Any) -> tuple[Any, Any] | None:
        """Return the texts of a list, or of a pair of lists of prompts and answers."""
        if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], str):
            prompts, answers = as_rows(source[0], "the prompts"), as_rows(source[1], "the answers")
            if len(prompts) != len(answers):
                raise InputError(
                    f"{len(prompts)} prompts and {len(answers)} answers: pass one answer for each "
                    "prompt."
                )
            source = list(zip(prompts, answers, strict=True))
        if len(getattr(source, "shape", ())) == 1:  # a column, such as a pandas Series
            source = as_rows(source, "the texts")
        if not isinstance(source, list | np.ndarray):
            return None
        texts: list[str] = []
        labels: list[Any] = []
        for value in source:
            parts, reason = parts_of(value, self.template)
            text, spans = joined(parts)
            texts.append(text or reason)  # the reason fills the place of a missing text
            labels.append(reason or spans)
        return texts, labels

    def targets(self, raw: RawLabels, classes: Any = None) -> ReadTargets:
        """Turn the spans of characters that count into rows `[first, end]`; None counts the whole text.

        A string instead of spans says why the example cannot be used.
        """
        values = list(raw.values)
        reasons = {n: raw.with_column(one) for n, one in enumerate(values) if isinstance(one, str)}
        rows = np.empty(len(values), object)
        texts = () if raw.inputs is None else raw.inputs
        for index, (value, text) in enumerate(zip(values, texts, strict=True)):
            spans = [(0, len(text))] if value is None else [] if index in reasons else value
            rows[index] = np.array(spans, np.int32).reshape(-1, 2)
        return ReadTargets(reasons, lambda kept: Targets(rows if kept is None else rows[kept]))

    def label(self, row: Any, classes: Any) -> str:
        """Return the number of characters of a text that count."""
        return f"{int((row[:, 1] - row[:, 0]).sum()):,} characters"

    def collate(self, rows: Any, inputs: Any) -> np.ndarray:
        """Return the targets of a batch of rows of tokens, padded to the length of the inputs.

        Args:
            rows: The rows' `targets` in `kft.tasks.language.rows.TokenRows`.
            inputs: The model's inputs.

        Returns:
            int32 `[batch, length, 2]`.
        """
        lengths = np.array([len(row) for row in rows])
        made = np.zeros((len(rows), np.shape(inputs["token_ids"])[1], 2), np.int32)
        made[np.arange(made.shape[1]) < lengths[:, None]] = np.concatenate(rows)
        return made

    # The model.

    def head(self, features: Any, inputs: Any) -> Any:
        """Reduce the logits to what losses, figures and answers need; see `FollowingTokens`.

        Args:
            features: Logits, `[batch, length, vocabulary]`.
            inputs: The model's inputs `token_ids` and `padding_mask`.
        """
        layer = FollowingTokens(
            min(CANDIDATES, features.shape[-1]), dtype="float32", name=self.named("following")
        )
        return layer([features, inputs["token_ids"], inputs["padding_mask"]])

    def loss(self) -> keras.losses.Loss:
        """Return the mean cross-entropy over the tokens of a batch that count."""
        return TokenCrossEntropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the token accuracy."""
        return [TokenAccuracy()]

    # The outcome.

    def scorer(self, classes: Any) -> NextTokenScorer:
        """Return a scorer that measures perplexity."""
        return NextTokenScorer(self.name)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Sequence[str] | None
    ) -> NextTokenPredictions:
        """Return the most probable tokens after each text.

        Args:
            names: The texts.
            outputs: The model's outputs.
            classes: The tokens of the vocabulary as texts.
        """
        return NextTokenPredictions.of(names, outputs, classes or (), CANDIDATES)

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return the most probable next tokens of each text: `tokens` and `scores`, `[n, 10]`.

        Appending a token to the text continues it, spaces included; the token that ends a text is
        returned by its name, such as `</s>`.
        """
        count = min(CANDIDATES, len(classes))
        numbers = ops.cast(outputs[:, -count:, 1], "int32")
        return {"tokens": ops.labels(classes, numbers), "scores": outputs[:, -count:, 0]}

    def answer_rules(self) -> Rules:
        """Return a ranking rule: tokens are sorted by their scores."""
        return Rules((Ranking("tokens", "scores"),))
