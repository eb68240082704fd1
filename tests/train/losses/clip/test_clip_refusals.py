"""What a CLIP detector cannot be trained from is refused in one line."""

from dataclasses import replace

import pytest
from clip_stages import KIT

from clip_features import OUTLIER, OUTLIERS, TEST, label_features, write_made
from penumbra.artifacts.negatives import write_negatives
from penumbra.errors import PenumbraError
from penumbra.train.losses.clip import plan


@pytest.mark.parametrize(("kit", "missing"), [(KIT[1:], "features/clip"), (KIT[:2], "models/clip")])
def test_a_kit_that_lacks_something_is_refused(make_stage, kit, missing):
    with pytest.raises(PenumbraError, match=f"train@clip-synood reads 0 files named '{missing}'"):
        plan.main(make_stage(kit=kit))


def test_edited_test_images_are_refused(make_stage):
    stage = make_stage()
    rows = [(OUTLIER, row, f"train/{row // 2:06d}", "test" if row == 3 else "train") for row in range(OUTLIERS)]
    write_made(stage.read("outliers/synood"), rows)
    with pytest.raises(PenumbraError, match=r"synood.parquet: holds edited test images.* Take test out of splits"):
        plan.main(stage)


def test_a_source_that_does_not_exist_is_named(make_stage):
    stage = make_stage()
    write_made(stage.read("outliers/synood"), [(OUTLIER, row, f"train/{row + 25:06d}", "train") for row in range(OUTLIERS)])
    with pytest.raises(PenumbraError, match="synood.parquet: source_id train/000030 is no image of images/train"):
        plan.main(stage)


def test_round_trips_of_test_images_alone_are_refused(make_stage):
    stage = make_stage(kit=(*KIT, "controls/repainting"))
    write_made(stage.read("controls/repainting"), [(TEST, 0, "test/000000", "test")])
    with pytest.raises(PenumbraError, match="holds no round trip of a training image. Put train into synthesize.control.repainting.splits"):
        plan.main(stage)


def test_no_candidate_is_an_error(make_stage):
    stage = make_stage()
    write_made(stage.read("outliers/synood"), [])
    with pytest.raises(PenumbraError, match="synood.parquet: holds no candidate"):
        plan.main(stage)


def test_labels_of_another_model_are_refused(make_stage):
    stage, labels = make_stage(), label_features()
    narrow = {name: getattr(labels, name)[:, :4] for name in ("id", "mcm", "negative")}
    write_negatives(stage.read("features/negatives"), replace(labels, **narrow), {})
    with pytest.raises(PenumbraError, match="is not of the model and the classes of"):
        plan.main(stage)


def test_more_groups_than_negative_labels_are_refused(make_stage):
    with pytest.raises(PenumbraError, match="17 negative labels are too few for 18 groups"):
        plan.main(make_stage(groups=18))


def test_a_diverging_clip_training_stops_with_its_reason(make_stage):
    message = r"train.recipes.own: in epoch \d of project the loss is \S+. Lower project_learning_rate"
    with pytest.raises(PenumbraError, match=message):
        plan.main(make_stage(project_learning_rate=1e30))
