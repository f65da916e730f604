"""Records, states, events and specs: the vocabulary that every other room shares."""
