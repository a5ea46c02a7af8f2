//! Names of hosts to addresses, as the system does it, but for those of the link's own network: there are the metadata services of
//! clouds, and whoever may declare a table could have them asked. Written addresses never come here; `places` looks at those.

use std::net::IpAddr;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};

use crate::places;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct CarefulResolver;

impl ResolveDns for CarefulResolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let found = tokio::net::lookup_host((name, 0)).await.map_err(ResolveDnsError::new)?;
            let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            match addresses.iter().find(|address| places::is_forbidden(**address)) {
                Some(_) => Err(ResolveDnsError::new(format!("host \"{name}\" is link-local and is not called"))),
                None => Ok(addresses),
            }
        })
    }
}
