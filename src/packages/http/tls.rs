//! TLS settings: whom to trust, and who we are.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};

use super::{CaPaths, FetchOptions};
use crate::words::error::{Error, Kind, Result};

/// The TLS configuration of a client. Whatever was configured and cannot be used is an error: nothing falls
/// back to the system's store or to no verification. Only for `plain` http does a system without any
/// certificate authority do: with them there would be nothing to check.
pub(super) fn config(options: &FetchOptions, verify: bool, plain: bool) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Network, "cannot set up TLS").because(error))?;
    let builder = if verify {
        let roots = match &options.ca {
            Some(ca) => configured_roots(ca)?,
            None => system_roots(plain)?,
        };
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    };
    let mut config = match &options.client_cert {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |why: String| {
                Error::new(
                    Kind::Usage,
                    format!("cannot use the client certificate {}: {why}", path.display()),
                )
                .help("expected a PEM file with the certificate, its chain and its key without a passphrase")
            };
            let chain = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| wrong(error.to_string()))?;
            if chain.is_empty() {
                return Err(wrong("it holds no certificate".into()));
            }
            let key =
                PrivateKeyDer::from_pem_file(path).map_err(|error| wrong(format!("its key: {error}")))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong(error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn configured_roots(ca: &CaPaths) -> Result<RootCertStore> {
    let wrong = |path: &std::path::Path, why: String| {
        Error::new(Kind::Usage, format!("cannot use {} ({}): {why}", path.display(), ca.setting))
            .help("expected a file of PEM certificates, or a directory of such files")
    };
    let mut roots = RootCertStore::empty();
    for path in &ca.paths {
        let (file, dir) = if path.is_dir() { (None, Some(&**path)) } else { (Some(&**path), None) };
        let loaded = rustls_native_certs::load_certs_from_paths(file, dir);
        if let Some(error) = loaded.errors.first() {
            return Err(wrong(path, error.to_string()));
        }
        let (usable, _) = roots.add_parsable_certificates(loaded.certs);
        if usable == 0 {
            return Err(wrong(path, "it holds no certificate".into()));
        }
    }
    Ok(roots)
}

fn system_roots(may_be_empty: bool) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() && !may_be_empty {
        let error = Error::new(Kind::Network, "this system has no certificate authorities to trust")
            .help("install ca-certificates, or name a bundle with --cert or SSL_CERT_FILE");
        return Err(match loaded.errors.into_iter().next() {
            Some(cause) => error.because(cause),
            None => error,
        });
    }
    Ok(roots)
}

/// Accepts any certificate, as `verify_ssl: false` asks; signatures of the handshake are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
