"""Why quality was lost, and where: harder rows, a changed meaning, or rows never seen; slices and columns."""
