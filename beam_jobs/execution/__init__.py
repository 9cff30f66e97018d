"""How stages are carried out: one after the other, by Beam on any runner or by workers without it."""
