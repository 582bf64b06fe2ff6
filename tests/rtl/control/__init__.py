"""Proof that the handshakes of a stage's RTL are those of its schedule, for ever and for any data.

Both are finite machines. From every state that a reset can leave, all states that both can reach
together are enumerated, with every combination of offered and taken beats in each. If all
handshakes agree in all of them, they agree in every run of any length.
"""

from .proof import ControlError, Proof, TooManyStatesError, prove

__all__ = ["ControlError", "Proof", "TooManyStatesError", "prove"]
