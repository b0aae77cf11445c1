# Rendered by `dsk render`, not to be edited: every image of the matrix, for `docker buildx bake`.

variable "REPOSITORY" {
  default = "dsk"
}

group "default" {
  targets = [
    "stack-v0",
    "stack-v1",
    "stack-cpu-v0",
    "stack-cpu",
  ]
}

group "stack-v0" {
  targets = [
    "rtx3060-12gb-v0",
    "rtx3090-v0",
    "rtx4060ti-16gb-v0",
    "rtx4070-v0",
    "rtx4080-v0",
    "rtx4090-v0",
    "rtx6000ada-v0",
    "a10-v0",
    "a30-v0",
    "a40-v0",
    "a100-40gb-v0",
    "a100-80gb-v0",
    "l4-v0",
    "l40s-v0",
    "h100-v0",
    "h200-v0",
  ]
}

group "stack-v1" {
  targets = [
    "rtx3060-12gb-v1",
    "rtx3090-v1",
    "rtx4060ti-16gb-v1",
    "rtx4070-v1",
    "rtx4080-v1",
    "rtx4090-v1",
    "rtx5070ti-v1",
    "rtx5080-v1",
    "rtx5090-v1",
    "rtx6000ada-v1",
    "rtxpro6000-v1",
    "a10-v1",
    "a30-v1",
    "a40-v1",
    "a100-40gb-v1",
    "a100-80gb-v1",
    "l4-v1",
    "l40s-v1",
    "h100-v1",
    "h200-v1",
    "b200-v1",
  ]
}

group "stack-cpu-v0" {
  targets = [
    "cpu-v0",
  ]
}

group "stack-cpu" {
  targets = [
    "cpu",
  ]
}

target "rtx3060-12gb-v0" {
  context    = "."
  dockerfile = "dockerfiles/rtx3060-12gb/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx3060-12gb-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx3060-12gb-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx3060-12gb-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx3060-12gb-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx3090-v0" {
  context    = "."
  dockerfile = "dockerfiles/rtx3090/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx3090-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx3090-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx3090-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx3090-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4060ti-16gb-v0" {
  context    = "."
  dockerfile = "dockerfiles/rtx4060ti-16gb/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4060ti-16gb-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4060ti-16gb-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx4060ti-16gb-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4060ti-16gb-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4070-v0" {
  context    = "."
  dockerfile = "dockerfiles/rtx4070/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4070-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4070-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx4070-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4070-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4080-v0" {
  context    = "."
  dockerfile = "dockerfiles/rtx4080/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4080-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4080-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx4080-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4080-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4090-v0" {
  context    = "."
  dockerfile = "dockerfiles/rtx4090/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4090-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx4090-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx4090-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx4090-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx5070ti-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx5070ti/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx5070ti-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx5080-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx5080/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx5080-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx5090-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx5090/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx5090-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx6000ada-v0" {
  context    = "."
  dockerfile = "dockerfiles/rtx6000ada/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx6000ada-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtx6000ada-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtx6000ada-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtx6000ada-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "rtxpro6000-v1" {
  context    = "."
  dockerfile = "dockerfiles/rtxpro6000/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:rtxpro6000-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a10-v0" {
  context    = "."
  dockerfile = "dockerfiles/a10/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a10-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a10-v1" {
  context    = "."
  dockerfile = "dockerfiles/a10-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a10-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a30-v0" {
  context    = "."
  dockerfile = "dockerfiles/a30/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a30-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a30-v1" {
  context    = "."
  dockerfile = "dockerfiles/a30-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a30-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a40-v0" {
  context    = "."
  dockerfile = "dockerfiles/a40/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a40-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a40-v1" {
  context    = "."
  dockerfile = "dockerfiles/a40-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a40-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a100-40gb-v0" {
  context    = "."
  dockerfile = "dockerfiles/a100-40gb/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a100-40gb-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a100-40gb-v1" {
  context    = "."
  dockerfile = "dockerfiles/a100-40gb-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a100-40gb-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a100-80gb-v0" {
  context    = "."
  dockerfile = "dockerfiles/a100-80gb/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a100-80gb-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "a100-80gb-v1" {
  context    = "."
  dockerfile = "dockerfiles/a100-80gb-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:a100-80gb-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "l4-v0" {
  context    = "."
  dockerfile = "dockerfiles/l4/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:l4-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "l4-v1" {
  context    = "."
  dockerfile = "dockerfiles/l4-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:l4-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "l40s-v0" {
  context    = "."
  dockerfile = "dockerfiles/l40s/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:l40s-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "l40s-v1" {
  context    = "."
  dockerfile = "dockerfiles/l40s-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:l40s-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "h100-v0" {
  context    = "."
  dockerfile = "dockerfiles/h100/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:h100-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "h100-v1" {
  context    = "."
  dockerfile = "dockerfiles/h100-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:h100-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "h200-v0" {
  context    = "."
  dockerfile = "dockerfiles/h200/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:h200-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "h200-v1" {
  context    = "."
  dockerfile = "dockerfiles/h200-v1/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:h200-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "b200-v1" {
  context    = "."
  dockerfile = "dockerfiles/b200/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:b200-v1"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
  }
  args = {
    SOURCE_DATE_EPOCH = "1795219200"
  }
}

target "cpu-v0" {
  context    = "."
  dockerfile = "dockerfiles/cpu-v0/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:cpu-v0"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
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

target "cpu" {
  context    = "."
  dockerfile = "dockerfiles/cpu/Dockerfile"
  target     = "image"
  tags       = ["${REPOSITORY}:cpu"]
  shm-size   = "1g"
  labels = {
    "dsk.plan" = "f6f81b9e28c3"
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
