"""Impulse responses have the decay and the direct sound that were asked for."""

import numpy as np
import pytest

from ser.signal.room import impulse_response

RATE = 16000


@pytest.mark.parametrize("t60", [0.3, 0.6, 1.0])
def test_reverberation_decays_by_60_db_in_its_time(t60: float) -> None:
    """Schroeder, 1965, https://doi.org/10.1121/1.1909343: the remaining energy, from -5 to -25 dB, extrapolated to -60."""
    measured = []
    for utterance in range(8):
        response = impulse_response(np.random.default_rng(utterance), t60, RATE, direct_db=0.0)
        decay = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2))
        fitted = (decay <= -5) & (decay >= -25)
        slope = np.polyfit(np.flatnonzero(fitted) / RATE, decay[fitted], 1)[0]
        measured.append(-60 / slope)
    # The fit spans a third of 4800 to 16000 independent taps: within 10 %, as every one of these is.
    np.testing.assert_allclose(measured, t60, rtol=0.1)


@pytest.mark.parametrize("direct_db", [-6.0, 0.0, 6.0])
def test_direct_sound_has_the_given_ratio_to_the_decay(direct_db: float) -> None:
    response = impulse_response(np.random.default_rng(0), 0.5, RATE, direct_db)
    assert response[0] == 1.0
    assert 10 * np.log10(1 / np.square(response[1:]).sum()) == pytest.approx(direct_db, abs=1e-9)
