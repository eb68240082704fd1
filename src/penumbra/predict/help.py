"""What the command line says below the options of predict and export."""

PREDICT = """\
A picture is taken as prepare takes it: upright, RGB, its central square resized to common.image_size. Of each the table says
  predicted  the class of the highest probability, mean over the training seeds of the detector
  p_ood      calibrated probability of being OOD, mean over the seeds
  score      the headline score (benchmark.score, or clip_score), higher = more OOD, mean over the seeds
  ood        whether the score is above the threshold: the quantile of the mean score over ID validation that accepts the share --accept

A file that cannot be read is named with the reason on stderr and skipped; the exit status is 3 then. Run it where params.yaml is, or give
from anywhere the path of ROOT/data/detectors/NAME or of a directory that `penumbra export` wrote.
"""
EXPORT = """\
The directory needs no repository around it, and may be moved, copied to another machine or uploaded to the Hugging Face hub:
  penumbra predict sona-all-v1 photos/         wherever Penumbra is installed
  penumbra.load_detector("sona-all-v1")        the same in Python
It holds the networks of all training seeds, what their scores are fitted on, the thresholds, hashes of all files and of the data behind
them, and README.md, a model card with the results. --onnx and --torch add the whole detector as one file that opens without Penumbra; the
card says how, and what goes in and comes out. Such a file is kept only if it answers as Penumbra does.
"""
