"""Judge: what a vision-language model says of every row that the rules on scores let through."""

from __future__ import annotations

from curation.graph.encoding import decode_stored
from curation.graph.rows import Row, reject
from curation.graph.stage import Stage
from curation.judging import describe
from curation.policy.decide import decide
from curation.policy.rules import Policy
from manifests.answers import Answers
from manifests.records import Judgement
from workers.judges.base import Judge, JudgeRequest
from workers.judges.rubric import PARTS


class JudgeStage(Stage):
    """Asks the judge once for each row, and keeps its answer where the next run finds it.

    An answer is paid for once: one that was kept, by this run or by an earlier one that was cut off, is taken as it is.
    """

    name = "judge"

    def __init__(self, judge: Judge, answers: Answers, policy: Policy, *, short_circuit: bool) -> None:
        self._judge = judge
        self._answers = answers
        self._scored = Policy(rules=tuple(rule for rule in policy.rules if not rule.judged))
        self._short_circuit = short_circuit

    def process(self, rows: list[Row]) -> None:
        """Fill the parts of the verdict; a row without one is rejected, with what the judge did say."""
        worth = [row for row in rows if not (self._short_circuit and decide(row, self._scored))]
        for row in rows:
            if all(row is not each for each in worth):
                row["skipped"] = [*row["skipped"], self.name]
        keys = {row["candidate_id"]: self._key(row) for row in worth}
        known = {name: self._answers.get(key) for name, key in keys.items()}
        kept = {name: judgement for name, judgement in known.items() if judgement is not None}
        asked = [row for row in worth if row["candidate_id"] not in kept]
        for row, answer in zip(asked, self._judge.judge([_request(row) for row in asked]), strict=True):
            judgement = describe(self._judge, row["candidate_id"], answer, assets=_assets(row))
            if answer.final:
                judgement = self._answers.keep(keys[row["candidate_id"]], judgement)
            kept[row["candidate_id"]] = judgement
        for row in worth:
            self._fill(row, kept[row["candidate_id"]])

    def _key(self, row: Row) -> list[str]:
        return [row["candidate_id"], *_assets(row), self._judge.digest, self._judge.prompt.digest]

    def _fill(self, row: Row, judgement: Judgement) -> None:
        row["judgement"] = judgement.model_dump_json()
        row["judge_digest"] = judgement.judge_digest
        row["judge_layout"] = judgement.layout
        for part in PARTS:
            row[f"judge_{part}"] = getattr(judgement, part)
        if judgement.failure is not None:
            reject(row, judgement.failure, judgement.detail)


def _request(row: Row) -> JudgeRequest:
    target, style, content = (decode_stored(row[f"{role}_image"]) for role in ("target", "style", "content"))
    return JudgeRequest(row["candidate_id"], target=target, style=style, content=content)


def _assets(row: Row) -> tuple[str, str, str]:
    return row["target_id"], row["style_id"], row["content_id"]
