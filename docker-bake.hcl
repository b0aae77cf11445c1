# Rendered by `dsk render`, not to be edited: the image of each current stack, for `docker buildx bake`.

variable "REPOSITORY" {
  default = "dsk"
}

group "default" {
  targets = [
    "v0",
    "v1",
    "v1-cu12",
    "cpu",
    "cpu-v0",
  ]
}

target "v0" {
  context    = "."
  dockerfile = "dockerfiles/v0/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:v0", "${REPOSITORY}:v0-0.1.0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "a3b85312316d"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "v1" {
  context    = "."
  dockerfile = "dockerfiles/v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:v1", "${REPOSITORY}:v1-0.1.0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "a3b85312316d"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "v1-cu12" {
  context    = "."
  dockerfile = "dockerfiles/v1-cu12/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:v1-cu12", "${REPOSITORY}:v1-cu12-0.1.0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "a3b85312316d"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "cpu" {
  context    = "."
  dockerfile = "dockerfiles/cpu/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:cpu", "${REPOSITORY}:cpu-0.1.0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "a3b85312316d"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "cpu-selftest" {
  inherits = ["cpu"]
  target   = "selftest"
  tags     = []
  output   = ["type=cacheonly"]
}

target "cpu-v0" {
  context    = "."
  dockerfile = "dockerfiles/cpu-v0/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:cpu-v0", "${REPOSITORY}:cpu-v0-0.1.0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "a3b85312316d"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "cpu-v0-selftest" {
  inherits = ["cpu-v0"]
  target   = "selftest"
  tags     = []
  output   = ["type=cacheonly"]
}
