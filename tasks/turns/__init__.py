"""A turn's context, record, package, explanation and reproduction."""
