"""Try a challenger on live traffic: canary and A/B trials."""
