"""toyfit for autolog: what is watched, declared without importing toyfit."""

from autolog.integration import API, Format, Integration, Patch

INTEGRATION = Integration(
    api=API,
    name="toyfit",
    distributions=("autolog-toyfit",),
    modules=("toyfit",),
    sites=(
        Patch(
            module="toyfit",
            target="Model.fit",
            hook="autolog_toyfit.hooks:training",
            role="training",
        ),
        Patch(
            module="toyfit",
            target="train",
            hook="autolog_toyfit.hooks:training",
            role="training",
        ),
    ),
    formats=(
        Format(
            name="toyfit-json",
            save="autolog_toyfit.formats:save",
            load="autolog_toyfit.formats:load",
            safe=True,
        ),
    ),
    options="autolog_toyfit.hooks:Options",
    example="autolog_toyfit.example:EXAMPLE",
)
