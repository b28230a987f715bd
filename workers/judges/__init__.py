"""Judges: a vision-language model looks at a triplet and answers by a rubric."""
