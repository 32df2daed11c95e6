# venvoy alone, as one static binary: the image to copy it from.
#
#     docker build -t venvoy .
#
#     COPY --from=venvoy /venvoy /usr/local/bin/
FROM rust:1.95 AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# With --target the flags are for venvoy and not for what runs while it is built (macros cannot be static).
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin venvoy --target "$host" \
    && cp "target/$host/release/venvoy" /venvoy

FROM scratch
COPY --from=build /venvoy /venvoy
ENTRYPOINT ["/venvoy"]
