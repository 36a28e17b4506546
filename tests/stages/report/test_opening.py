"""Which method the page opens on, from tables written by hand."""

from activation_atlas.stages.report.errors.opening import agrees, opening

TITLES = {"grad_cam": "Grad-CAM", "occlusion": "Occlusion", "guided": "Guided backprop"}


def gain(variant: str, mean: float, low: float | None, kind: str = "predicted") -> dict:
    """A row of the table ``trust``."""
    high = None if low is None else 2 * mean - low
    return {"variant": variant, "kind": kind, "measure": "gain", "mean": mean, "low": low, "high": high, "n": 40}


def forgets(left: float) -> list[dict]:
    return [{"depth": 1, "mean": 1.0}, {"depth": 9, "mean": left}, {"depth": 4, "mean": 0.9}]


def test_the_largest_gain_opens():
    found = opening(TITLES, [gain("grad_cam", 0.1, 0.05), gain("occlusion", 0.3, 0.21), gain("guided", 0.2, 0.1)], {})
    assert found.variant == "occlusion"
    assert "of 3 methods, Occlusion gains most over a random map" in found.why
    assert "0.300 [0.210, 0.390] (mean of 40 images, 95 % interval)." in found.why


def test_of_equal_gains_the_first_asked_for():
    rows = [gain("occlusion", 0.3, 0.2), gain("grad_cam", 0.3, 0.2)]
    assert opening(TITLES, rows, {}).variant == "grad_cam"


def test_a_large_gain_of_few_images_is_not_sure():
    rows = [gain("grad_cam", 0.1, 0.05), gain("occlusion", 0.5, -0.1), gain("guided", 0.9, None)]
    assert opening(TITLES, rows, {}).variant == "grad_cam"


def test_where_none_beats_a_random_map_the_first_opens_and_it_is_said():
    found = opening(TITLES, [gain("grad_cam", -0.1, -0.2), gain("occlusion", 0.1, -0.05)], {})
    assert found.variant == "grad_cam" and "no method does surely better than a random map." in found.why


def test_maps_that_stay_when_the_model_forgets_are_passed_over():
    rows = [gain("grad_cam", 0.1, 0.05), gain("guided", 0.4, 0.3)]
    found = opening(TITLES, rows, {"guided": forgets(0.8), "grad_cam": forgets(0.1)})
    assert found.variant == "grad_cam" and "; Guided backprop gained more, but with maps that stay" in found.why
    assert opening(TITLES, rows, {"guided": forgets(0.4)}).variant == "guided"
    none = opening(TITLES, rows[1:], {"guided": forgets(0.8)})
    assert none.variant == "grad_cam" and "but for Guided backprop, whose maps stay" in none.why


def test_it_goes_by_the_predicted_class():
    rows = [gain("grad_cam", 0.1, 0.05), gain("occlusion", 0.3, 0.2, "label"), gain("grad_cam", 0.1, 0.05, "label")]
    assert opening(TITLES, rows, {}).variant == "grad_cam"
    assert opening(TITLES, [row for row in rows if row["kind"] == "label"], {}).variant == "occlusion"


def test_what_was_not_measured_is_not_said():
    assert opening(TITLES, [], {}) == opening({"grad_cam": "Grad-CAM"}, [gain("grad_cam", 0.1, 0.05)], {})
    assert opening(TITLES, [], {}).why == "" and opening({}, [], {}).variant is None
    deletion = gain("occlusion", 0.3, 0.2) | {"measure": "deletion"}
    assert opening(TITLES, [deletion], {}).variant == "grad_cam"


def test_agreement_is_said_of_each():
    def row(one, other, mean):
        return {"variant": one, "other": other, "mean": mean}

    pair = agrees(TITLES, [row("grad_cam", "occlusion", -0.041)])
    assert pair["grad_cam"] == "Rank correlation with Occlusion: −0.04 on average."
    assert pair["occlusion"] == "Rank correlation with Grad-CAM: −0.04 on average." and "guided" not in pair
    three = agrees(TITLES, [row("grad_cam", "guided", 0.5), row("grad_cam", "occlusion", 0.1)])
    ends = "least with Occlusion, 0.10; most with Guided backprop, 0.50"
    assert three["grad_cam"] == f"Rank correlation with the others: 0.30 on average ({ends})."
    assert agrees(TITLES, [row("grad_cam", "occlusion", None)]) == {}
