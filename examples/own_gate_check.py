"""A gate check of your own: no region may be worse off by more than a little.

In the spec:

    gate:
      slices: {columns: [region], max_loss: 1}
      checks: [own_gate_check:no_region_loses]

The check reads a frozen `everfit.tasks.Evidence`. It returns True or False, a margin (0 or more passes), or whether it
passed together with the reason. If it fails, raises, or returns anything else, the challenger is not released.
"""


def no_region_loses(evidence):
    """Pass if no region loses more than 0.02 to the champion; there must be evidence for each region."""
    if evidence.champion_version is None:
        return True, "there is no champion yet"
    losses = {region.value: -region.comparison.difference for region in evidence.slices if region.rows >= 100}
    worst = max(losses, key=losses.get)
    return losses[worst] <= 0.02, f"{worst} loses most to the champion: {losses[worst]:.3f}"
