# The portal as an image of one file: no shell, no library, no root. Build: docker build -t mailcow-status .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN deploy/build-static && deploy/image/lay-out target/static/mailcow-status /image

FROM scratch
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /data
ENV LISTEN=0.0.0.0:8080 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
EXPOSE 8080
VOLUME /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["/mailcow-status", "health"]
ENTRYPOINT ["/mailcow-status"]
CMD ["serve"]
