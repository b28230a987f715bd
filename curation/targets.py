"""Choosing the targets of a job."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from curation.gallery import Gallery, style_name
from curation.spec.model import TargetSpec
from manifests.identities import digest_of
from manifests.images import ImageRef, fold_of

Works = dict[str, list[tuple[ImageRef, str]]]
"""What shows one subject: for each style, the untreated images and the treatment that gives it."""


def choose_targets(gallery: Gallery, spec: TargetSpec) -> list[ImageRef]:
    """Return the targets of a job, in the one order that `--limit` and deduplication go by.

    Without `per_subject`, every image in every style that may be a target. With it, each subject in so many styles,
    dealt out in turn so that all styles are used evenly; the first targets of the list are of different subjects.
    Where a family has several sets of a subject, one of them is drawn.
    """
    wanted = set(spec.subjects) if spec.subjects is not None else None
    by_subject: dict[str, Works] = defaultdict(lambda: defaultdict(list))
    everything: list[ImageRef] = []
    for ref in gallery.refs:
        if wanted is not None and ref.subject not in wanted:
            continue
        if spec.folds is not None and fold_of(ref.subject) not in spec.folds:
            continue
        for treatment in gallery.treatments_of(ref.family):
            style = style_name(ref.family, treatment)
            if spec.styles is not None and style not in spec.styles:
                continue
            if spec.per_subject is None:
                everything.append(ref.treated(treatment))
            else:
                by_subject[ref.subject][style].append((ref, treatment))
    if spec.per_subject is None:
        return everything
    return _deal(by_subject, spec.per_subject, spec.seed)


def _deal(by_subject: dict[str, Works], per_subject: int, seed: int) -> list[ImageRef]:
    subjects = sorted(by_subject, key=lambda subject: digest_of([seed, subject]))
    used: dict[str, int] = defaultdict(int)
    taken: dict[str, set[str]] = defaultdict(set)
    targets = []
    for _ in range(per_subject):
        for subject in subjects:
            free = [style for style in by_subject[subject] if style not in taken[subject]]
            if not free:
                continue
            style = min(free, key=lambda name: (used[name], digest_of([seed, subject, name])))
            used[style] += 1
            taken[subject].add(style)
            hands = by_subject[subject][style]
            drawn = np.random.default_rng(int(digest_of([seed, subject, style, "hand"]), 16)).integers(len(hands))
            ref, treatment = hands[int(drawn)]
            targets.append(ref.treated(treatment))
    return targets
