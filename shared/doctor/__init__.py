"""./launcher.sh doctor: whether this machine can do the run, said before hours are spent."""
