"""The settings of a curation in a few lines, for `tessy plan` and `tessy curate`."""

from __future__ import annotations

from collections.abc import Iterator

from tessy.config.curation_recipe import CurationRecipe
from tessy.config.evaluate import Benchmark
from tessy.config.problems import Curation, ProblemSource
from tessy.config.recipe import Recipe
from tessy.curation_rules.cleaning import actions


def funnel(recipe: Recipe | CurationRecipe) -> Iterator[str]:
    """What problems go through, in order; nothing where the recipe does not curate them."""
    problems = recipe.problems
    if problems is None or problems.curation is None:
        return
    curation = problems.curation
    yield "problems:"
    for source in problems.named.values():
        yield f"  from {_source(source)}"
    fits = recipe.context is not None if isinstance(recipe, CurationRecipe) else curation.fit_contexts
    yield f"  clean: {_cleaning(curation, fits)}"
    yield f"  duplicates: {_duplicates(curation)}"
    names = [one.name for one in _benchmarks(recipe)]
    against = (
        ", ".join(names) if curation.check_benchmarks else "no benchmark: nothing will be known of leaks"
    )
    yield f"  benchmarks: {against}; {_decontamination(curation)}"
    for source in curation.audit:
        yield f"  audited, nothing is removed: {_source(source)}"
    if curation.held_out.share:
        yield f"  held out: {curation.held_out.share:.1%} of the rows, by cluster"
    yield f"  select: {'; '.join(_selection(curation)) or 'all that are left'}"
    if problems.limit:
        yield f"  limit: the first {problems.limit:,} rows"


def _benchmarks(recipe: Recipe | CurationRecipe) -> tuple[Benchmark, ...]:
    return tuple(recipe.benchmarks if isinstance(recipe, CurationRecipe) else recipe.evaluate.benchmarks)


def _source(source: ProblemSource) -> str:
    place = source.source or f"the hub, preset {source.preset}"
    more = [f"as {source.preset}"] if source.preset and source.source else []
    more += [f"at {source.revision}"] if source.revision else []
    more += [f"at most {source.cap:,}"] if source.cap else []
    more += [f"weight {source.weight:g}"] if source.weight != 1 else []
    return ", ".join([place, *more])


def _cleaning(curation: Curation, fits: bool) -> str:
    cleaning = curation.cleaning
    removing = [rule for rule, action in actions(cleaning).items() if action == "remove"]
    languages = "any language" if not cleaning.languages else " or ".join(cleaning.languages)
    fit = "must fit the contexts" if fits else "any length in tokens"
    words = f"at least {cleaning.min_words} words, at most {cleaning.max_characters:,} characters"
    return f"{words}, {languages}, {fit}; removes {', '.join(removing) or 'nothing'}"


def _duplicates(curation: Curation) -> str:
    duplicates, said = curation.duplicates, ["the same normalised text"]
    if duplicates.near:
        said = [
            f"MinHash of {duplicates.ngram_words}-word shingles, {duplicates.permutations} permutations, "
            f"similarity from {duplicates.threshold:g}"
        ]
    if one := duplicates.embedding:
        said.append(f"vectors of {one.model}, cosine from {one.threshold:g}")
    keep = f"; keep by {duplicates.keep}" if duplicates.near or duplicates.embedding else ""
    return ", ".join(said) + keep


def _decontamination(curation: Curation) -> str:
    rules = curation.decontamination
    thresholds = {
        "ngram_13": rules.ngram_13,
        "ngram_8": rules.ngram_8,
        "edit": rules.edit,
        "masked": rules.masked,
    }
    on = [f"{name} from {value:g}" for name, value in thresholds.items() if value is not None]
    on = (["contained"] if rules.contained else []) + on
    window = f"; dated before {rules.before}" if rules.before else ""
    return (", ".join(on) or "no rule") + window


def _selection(curation: Curation) -> Iterator[str]:
    selection = curation.selection
    for rating in selection.ratings:
        bounds = f"from {rating.minimum:g} to {rating.maximum:g}"
        yield f"{rating.name} {bounds}, by {rating.model} ({rating.prompt})"
    if rate := selection.pass_rate:
        yield f"student's pass rate from {rate.minimum:g} to {rate.maximum:g}, {rate.samples} answers"
    for balance in selection.balance:
        yield f"at most {balance.most:.0%} of one {balance.by}"
    if selection.problems:
        yield f"{selection.problems:,} distinct problems"
    if selection.samples:
        most = f", each at most {selection.repeats} times" if selection.repeats else ""
        yield f"{selection.samples:,} rows, problems repeated{most}"
