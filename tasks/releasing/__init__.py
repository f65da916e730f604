"""Who is champion: releases, approvals, the registry, and what is really served."""
