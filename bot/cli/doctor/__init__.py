"""`avatar-relay doctor`: looks at everything that has to be right, changes nothing, says what to do about the rest."""
