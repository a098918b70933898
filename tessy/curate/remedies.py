"""What can be done about each rule that leaves problems out, for the report and the command line."""

from __future__ import annotations

from collections.abc import Mapping

REMEDIES: Mapping[str, str] = {
    "unreadable": "mend the row in its source; the table of what was left out names file, row and fault",
    "lost_characters": "fetch the source again in UTF-8, or set cleaning.lost_characters to note",
    "too_short": "lower cleaning.min_words, or set cleaning.too_short to note",
    "too_long": "raise train.max_length or cleaning.max_characters, or set fit_contexts to false",
    "language": "add its code to cleaning.languages, or set cleaning.language to note",
    "lost_formula": "take a source that keeps formulas, or set cleaning.lost_formula to note",
    "lost_image": "nothing can be done in text, or set cleaning.lost_image to note",
    "empty_example": "set cleaning.empty_example to note",
    "duplicate_example": "set cleaning.duplicate_example to note",
    "code_only": "add a statement to the prompt, or set cleaning.code_only to note",
    "contains_answer": "cut the answer out of the prompt, or set cleaning.contains_answer to note",
    "date": "raise decontamination.before",
    "same_text": "nothing is lost: its text stays once",
    "near_duplicate": "raise duplicates.threshold, or set duplicates.near to false",
    "near_embedding": "raise duplicates.embedding.threshold, or remove duplicates.embedding",
    "benchmark": "look at the matches; raise the rule's threshold, or switch it off",
    "held_out": "they are in held_out.parquet; lower held_out.share",
    "cap": "raise the source's cap",
    "rating": "lower the rating's minimum, or raise its maximum",
    "no_rating": "raise the rating's attempts or max_tokens, or ask another model",
    "pass_rate": "widen selection.pass_rate",
    "no_tests": "set selection.pass_rate.untested to keep",
    "balance": "raise selection.balance's share",
    "number": "raise selection.problems or selection.samples",
}
