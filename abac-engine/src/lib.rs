//! Multi-tenant RBAC and ABAC decisions with CEL conditions, fail-closed and explainable
#![forbid(unsafe_code)]
